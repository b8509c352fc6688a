"""A screw made in code, 20 mm long, with the defects that tests look for; every point comes from its formula."""

from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from converters.sample import PointCloud

LENGTH, HEAD, SHAFT_R, HEAD_R, PITCH = 20.0, 2.4, 1.6, 3.5, 0.7
SLOT_WIDTH, SLOT_DEPTH = 0.9, 0.8


def screw(seed: int, *, n: int = 20_000, defect: str = "", noise: float = 0.02) -> np.ndarray:
    """Points (n', 3) of a screw along z: tip at 0, head top at 20; defect: thread, short, dent, bent, blob."""
    rng = np.random.default_rng(seed)
    shaft_length = LENGTH - HEAD
    shaft = _shaft(rng, int(n * 0.62), shaft_length, defect)
    head = _head(rng, int(n * 0.38), shaft_length)
    points = np.concatenate([shaft, head])
    if defect == "dent":  # centre (3.5, 0, 18.8) on the head's rim
        points = _dent(points, np.array([HEAD_R, 0.0, 18.8]), radius=1.1, depth=0.5)
    if defect == "blob":
        sphere = rng.normal(size=(500, 3))
        sphere = np.array([0.0, 1.9, 9.0]) + 0.7 * sphere / np.linalg.norm(sphere, axis=1, keepdims=True)
        points = np.concatenate([points, sphere[np.hypot(sphere[:, 0], sphere[:, 1]) > SHAFT_R]])
    if defect == "bent":
        lever = np.maximum(9.0 - points[:, 2], 0.0)
        points[:, 0] += 0.012 * lever**2
    return points + rng.normal(scale=noise, size=points.shape)


TRUTH = {
    "thread": np.array([0.0, 0.0, 6.0]),
    "short": np.array([0.0, 0.0, 0.9]),
    "dent": np.array([3.5, 0.0, 18.8]),
    "blob": np.array([0.0, 2.3, 9.0]),
    "bent": np.array([0.97, 0.0, 0.0]),
}


def _shaft(rng: np.random.Generator, n: int, length: float, defect: str) -> np.ndarray:
    z = rng.uniform(0.0, length, n)
    angle = rng.uniform(0.0, 2 * np.pi, n)
    phase = (z / PITCH - angle / (2 * np.pi)) % 1.0
    ridge = 0.35 * (1.0 - 2.0 * np.abs(phase - 0.5))
    ridge[z > length - 3.0] = 0.0  # plain neck
    if defect == "thread":
        ridge[np.abs(z - 6.0) < 1.2] = 0.0
    taper = np.clip(z / 1.5, 0.45, 1.0)
    r = (SHAFT_R + ridge) * taper
    points = np.column_stack([r * np.cos(angle), r * np.sin(angle), z])
    if defect == "short":
        points = points[points[:, 2] >= 1.8]
    start = 1.8 if defect == "short" else 0.0
    tip_r = SHAFT_R * max(0.45, min(start / 1.5, 1.0))
    count = int(0.06 * n * (tip_r / SHAFT_R) ** 2)
    a, q = rng.uniform(0, 2 * np.pi, count), tip_r * np.sqrt(rng.uniform(0, 1, count))
    return np.concatenate([points, np.column_stack([q * np.cos(a), q * np.sin(a), np.full(count, start)])])


def _head(rng: np.random.Generator, n: int, base: float) -> np.ndarray:
    parts = []
    for z, inner, share in ((LENGTH, 0.0, 0.4), (base, SHAFT_R, 0.25)):
        a, r = rng.uniform(0, 2 * np.pi, int(n * share)), np.sqrt(rng.uniform(inner**2, HEAD_R**2, int(n * share)))
        parts.append(np.column_stack([r * np.cos(a), r * np.sin(a), np.full(len(a), z)]))
    a, z = rng.uniform(0, 2 * np.pi, int(n * 0.35)), rng.uniform(base, LENGTH, int(n * 0.35))
    parts.append(np.column_stack([HEAD_R * np.cos(a), HEAD_R * np.sin(a), z]))
    points = np.concatenate(parts)
    in_slot = (np.abs(points[:, 1]) < SLOT_WIDTH / 2) & (points[:, 2] > LENGTH - SLOT_DEPTH)
    points[in_slot, 2] = LENGTH - SLOT_DEPTH  # the slot's floor; its rim's wall goes with it
    return points


def _dent(points: np.ndarray, centre: np.ndarray, *, radius: float, depth: float) -> np.ndarray:
    gap = np.linalg.norm(points - centre, axis=1)
    push = depth * np.maximum(0.0, 1.0 - (gap / radius) ** 2)
    inward = np.array([-1.0, 0.0, 0.0])
    return points + push[:, None] * inward


def rigid(seed: int, *, shift: float = 50.0) -> np.ndarray:
    """A random rigid motion (4, 4)."""
    rng = np.random.default_rng(seed)
    pose = np.eye(4)
    pose[:3, :3] = Rotation.random(rng=rng).as_matrix()
    pose[:3, 3] = rng.uniform(-shift, shift, 3)
    return pose


def moved(points: np.ndarray, pose: np.ndarray) -> np.ndarray:
    """Points after a rigid motion."""
    return points @ pose[:3, :3].T + pose[:3, 3]


def cloud(points: np.ndarray, name: str = "part.ply") -> PointCloud:
    """A point cloud that was never a file."""
    return PointCloud(Path(name), np.asarray(points, dtype=np.float64))
