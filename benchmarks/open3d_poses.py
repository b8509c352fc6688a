"""Poses found by our registration against Open3D's point-to-plane ICP, which starts near the true pose.

    python -m benchmarks.open3d_poses [--poses 50]

Needs the extra `open3d`. Sound and flawed generated plates and gears in any pose; aims: 0.5 degrees, 0.5 % of the size.
Of a pose that is farther apart it is told how well either one brings the surfaces together.
"""

import argparse

import numpy as np

from vlm_inspect.demo.generated_scans import FLAWS, Scanner, draw
from vlm_inspect.registration.alignment import agreement, align
from vlm_inspect.registration.pose import Pose, apply, inverse, turn_deg

_SCANNER = Scanner(points=(20_000, 20_001), noise_mm=(0.01,), partial=0.0)


def main() -> None:
    """Print how far the poses are apart."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--poses", type=int, default=50)
    count = parser.parse_args().poses
    turns, shifts = [], []
    for i in range(count):
        name = ("plate", "gear")[i % 2]
        fixed = draw(name, "", np.random.default_rng([1, i % 2]), _SCANNER).cloud.points
        flaws = ("", "dent", "burr", *FLAWS[name][:1])
        moving = draw(name, flaws[i // 2 % len(flaws)], np.random.default_rng([2, i]), _SCANNER).cloud.points
        own = align(moving, fixed).pose
        other = with_open3d(moving, fixed, disturbed(own, np.random.default_rng([3, i])))
        step = own @ inverse(other)
        turns.append(turn_deg(step))
        middle = fixed.mean(axis=0)[None]
        shifts.append(float(np.linalg.norm(apply(step, middle) - middle) / np.linalg.norm(np.ptp(fixed, axis=0))))
        if turns[-1] > 0.5 or shifts[-1] > 0.005:
            print(f"pose {i}, {name}: {turns[-1]:.2f} degrees and {shifts[-1]:.1%} of the size apart")
            for whose, pose in (("ours", own), ("Open3D's", other)):
                fit = agreement(apply(pose, moving), fixed)
                print(f"  {whose}: RMS {fit.rms_mm:.3f} mm where the surfaces agree, overlap {fit.overlap:.2f}")
    within = np.mean((np.array(turns) <= 0.5) & (np.array(shifts) <= 0.005))
    print(f"{count} poses: turn median {np.median(turns):.3f}, most {max(turns):.3f} degrees; shift median "
          f"{np.median(shifts):.3%}, most {max(shifts):.3%} of the size; within the aims {within:.0%}")  # fmt: skip


def disturbed(pose: Pose, rng: np.random.Generator) -> Pose:
    """Return a pose a few degrees and a little way off."""
    from scipy.spatial.transform import Rotation

    off = np.eye(4)
    off[:3, :3] = Rotation.from_rotvec(np.deg2rad(3.0) * rng.normal(size=3) / 1.7).as_matrix()
    centred, back = np.eye(4), np.eye(4)
    centred[:3, 3], back[:3, 3] = -pose[:3, 3], pose[:3, 3]
    return np.asarray(back @ off @ centred @ pose)


def with_open3d(moving: np.ndarray, fixed: np.ndarray, start: Pose) -> Pose:
    """Return Open3D's pose: ICP, point to plane, Tukey's loss, from coarse to fine."""
    import open3d

    clouds = []
    for points in (moving, fixed):
        cloud = open3d.geometry.PointCloud(open3d.utility.Vector3dVector(points))
        cloud.estimate_normals(open3d.geometry.KDTreeSearchParamKNN(12))
        clouds.append(cloud)
    pose = start
    for reach in (3.0, 1.0, 0.3):
        loss = open3d.pipelines.registration.TukeyLoss(k=reach / 2)
        plane = open3d.pipelines.registration.TransformationEstimationPointToPlane(loss)
        limits = open3d.pipelines.registration.ICPConvergenceCriteria(max_iteration=100)
        found = open3d.pipelines.registration.registration_icp(clouds[0], clouds[1], reach, pose, plane, limits)
        pose = np.array(found.transformation)
    return pose


if __name__ == "__main__":
    main()
