"""Every published layout in small, as real files; each function returns the folder that it filled."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

SIZE_WH = (48, 32)
_made = iter(range(1, 1_000_000))


def picture(path: Path, size_wh: tuple[int, int] = SIZE_WH) -> Path:
    """Write a picture that no other one equals."""
    path.parent.mkdir(parents=True, exist_ok=True)
    number = next(_made)
    values = np.random.default_rng(number).integers(0, 256, (size_wh[1], size_wh[0], 3), dtype=np.uint8)
    Image.fromarray(values).save(path, **({"quality": 95} if path.suffix.lower() in {".jpg", ".jpeg"} else {}))
    return path


def mask(path: Path, value: int = 255, box: tuple[int, int, int, int] = (2, 3, 6, 7)) -> Path:
    """Write a mask with one box (left, top, right, bottom) of a value; 0 writes an empty one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.zeros((SIZE_WH[1], SIZE_WH[0]), np.uint8)
    values[box[1] : box[3], box[0] : box[2]] = value
    Image.fromarray(values).save(path)
    return path


def mvtec(root: Path, classes: Sequence[str] = ("bottle", "screw"), suffix: str = ".png") -> Path:
    for name in classes:
        for at in range(4):
            picture(root / name / "train" / "good" / f"{at:03}{suffix}")
        for at in range(2):
            picture(root / name / "test" / "good" / f"{at:03}{suffix}")
            for kind in ("crack", "hole"):
                picture(root / name / "test" / kind / f"{at:03}{suffix}")
                mask(root / name / "ground_truth" / kind / f"{at:03}_mask.png")
    return root


def btad(root: Path) -> Path:
    for at in range(3):
        picture(root / "01" / "train" / "ok" / f"{at:04}.bmp")
        picture(root / "01" / "test" / "ok" / f"{at:04}.bmp")
        picture(root / "01" / "test" / "ko" / f"{at:04}.bmp")
        mask(root / "01" / "ground_truth" / "ko" / f"{at:04}.png")
    return root


def visa_folders(root: Path) -> Path:
    for at in range(2):
        picture(root / "candle" / "train" / "good" / f"{at:04}.JPG")
        picture(root / "candle" / "test" / "good" / f"{at + 5:04}.JPG")
        picture(root / "candle" / "test" / "bad" / f"{at:03}.JPG")
        mask(root / "candle" / "ground_truth" / "bad" / f"{at:03}.png")
    return root


def visa(root: Path) -> Path:
    rows = [("object", "split", "label", "image", "mask")]
    types = [("image", "label", "mask")]
    for at, (split, label) in enumerate([("train", "normal"), ("train", "normal"), ("test", "normal")]):
        image = f"pcb1/Data/Images/Normal/{at:04}.JPG"
        picture(root / image)
        rows.append(("pcb1", split, label, image, ""))
        types.append((image, "normal", ""))
    for at, told in enumerate(["melt", "scratch,bent"]):
        image, drawn = f"pcb1/Data/Images/Anomaly/{at:03}.JPG", f"pcb1/Data/Masks/Anomaly/{at:03}.png"
        picture(root / image)
        mask(root / drawn, value=at + 1)
        rows.append(("pcb1", "test", "anomaly", image, drawn))
        types.append((image, told, drawn))
    write_csv(root / "split_csv" / "1cls.csv", rows)
    write_csv(root / "pcb1" / "image_anno.csv", types)
    return root


def mvtec_ad_2(root: Path) -> Path:
    base = root / "can"
    for at in range(2):
        picture(base / "train" / "good" / f"{at:03}_regular.png")
        picture(base / "validation" / "good" / f"{at:03}_regular.png")
        picture(base / "test_public" / "good" / f"{at:03}_overexposed.png")
        picture(base / "test_public" / "bad" / f"{at:03}_regular.png")
        mask(base / "test_public" / "ground_truth" / "bad" / f"{at:03}_regular_mask.png")
        picture(base / "test_private" / f"{at:03}_regular.png")
        picture(base / "test_private_mixed" / f"{at:03}_mixed.png")
    return root


LOCO_CONFIG: list[dict[str, Any]] = [
    {"defect_name": "missing", "pixel_value": 255, "saturation_threshold": 6, "relative_saturation": False},
    {"defect_name": "dent", "pixel_value": 254, "saturation_threshold": 0.5, "relative_saturation": True},
]


def mvtec_loco(root: Path) -> Path:
    base = root / "screw_bag"
    for part in ("train", "validation", "test"):
        picture(base / part / "good" / "000.png")
        picture(base / part / "good" / "001.png")
    picture(base / "test" / "logical_anomalies" / "000.png")
    mask(base / "ground_truth" / "logical_anomalies" / "000" / "000.png", 255)
    mask(base / "ground_truth" / "logical_anomalies" / "000" / "001.png", 254, (4, 3, 10, 7))
    picture(base / "test" / "structural_anomalies" / "000.png")
    mask(base / "ground_truth" / "structural_anomalies" / "000" / "000.png", 254)
    write_json(base / "defects_config.json", LOCO_CONFIG)
    return root


def scan(path: Path) -> Path:
    """Write an organised scan of x, y, z in metres with a hole."""
    import tifffile

    path.parent.mkdir(parents=True, exist_ok=True)
    width, height = SIZE_WH
    rows, columns = np.mgrid[:height, :width].astype(np.float32) * 0.001
    values = np.stack([columns, rows, np.full_like(rows, 0.5 + next(_made) * 1e-4)], axis=-1)
    values[:2, :2] = 0
    tifffile.imwrite(path, values, photometric="rgb", planarconfig="contig")
    return path


def mvtec_3d(root: Path) -> Path:
    for part, kinds in {"train": ["good"], "validation": ["good"], "test": ["good", "hole"]}.items():
        for kind in kinds:
            for at in range(2):
                scan(root / "bagel" / part / kind / "xyz" / f"{at:03}.tiff")
                picture(root / "bagel" / part / kind / "rgb" / f"{at:03}.png")
                if part == "test":
                    mask(root / "bagel" / part / kind / "gt" / f"{at:03}.png", 255 if kind == "hole" else 0)
    return root


def cloud(path: Path) -> np.ndarray[Any, Any]:
    """Write a cloud of 60 points as .pcd; return them."""
    from pypcd4 import PointCloud

    path.parent.mkdir(parents=True, exist_ok=True)
    points = np.random.default_rng(next(_made)).normal(size=(60, 3)).astype(np.float32)
    PointCloud.from_xyz_points(points).save(path)
    return points


def real3d_ad(root: Path) -> Path:
    base = root / "airplane"
    for at in range(4):
        cloud(base / "train" / f"{at}_template.pcd")
    cloud(base / "test" / "1_good.pcd")
    cloud(base / "test" / "2_good_cut.pcd")
    for name in ("3_bulge", "4_sink_cut"):
        points = cloud(base / "test" / f"{name}.pcd")
        flags = (np.arange(len(points)) < 5).astype(float)
        (base / "gt").mkdir(exist_ok=True)
        np.savetxt(base / "gt" / f"{name}.txt", np.column_stack([points, flags]), fmt="%.6f")
    return root


def real_iad(root: Path) -> Path:
    lists: dict[str, Any] = {"meta": {"normal_class": "OK", "prefix": "audiojack/"}, "train": [], "test": []}
    for at, (split, kind) in enumerate([("train", "OK"), ("train", "OK"), ("test", "OK"), ("test", "QS")]):
        for camera in range(1, 3):
            folder = f"OK/S{at:04}" if kind == "OK" else f"NG/{kind}/S{at:04}"
            image = f"{folder}/audiojack_{at:04}_{kind}_C{camera}.jpg"
            picture(root / "realiad_256" / "audiojack" / image)
            drawn = None
            if kind != "OK" and camera == 1:
                drawn = image.replace(".jpg", "_mask.png")
                mask(root / "realiad_256" / "audiojack" / drawn)
            told = kind if drawn or kind == "OK" else "OK"  # the other camera does not see the defect
            lists[split].append(
                {"category": "audiojack", "anomaly_class": told, "image_path": image, "mask_path": drawn}
            )
    write_json(root / "realiad_jsons" / "realiad_jsons" / "audiojack.json", lists)
    return root


def kolektor(root: Path) -> Path:
    for item in range(1, 5):
        for part in range(3):
            picture(root / f"kos{item:02}" / f"Part{part}.jpg")
            mask(root / f"kos{item:02}" / f"Part{part}_label.bmp", 255 if part == 0 else 0)
    return root


def deeppcb(root: Path) -> Path:
    for name in ("00041000", "00041001"):
        picture(root / "group00041" / "00041" / f"{name}_temp.jpg")
        picture(root / "group00041" / "00041" / f"{name}_test.jpg")
        boxes = root / "group00041" / "00041_not" / f"{name}.txt"
        boxes.parent.mkdir(parents=True, exist_ok=True)
        boxes.write_text("2 3 6 7 1\n10 4 14 9 3\n", encoding="utf-8")
    return root


def ucsd_ped(root: Path) -> Path:
    for scene in ("UCSDped1", "UCSDped2"):
        for frame in range(1, 4):
            picture(root / scene / "Train" / "Train001" / f"{frame:03}.tif")
            picture(root / scene / "Test" / "Test001" / f"{frame:03}.tif")
            mask(root / scene / "Test" / "Test001_gt" / f"{frame:03}.bmp", 255 if frame > 1 else 0)
    return root


def avenue(root: Path) -> Path:
    import cv2
    from scipy.io import savemat

    for name in ("training_videos/01.avi", "testing_videos/01.avi", "testing_videos/02.avi"):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, SIZE_WH)
        shade = next(_made)
        for frame in range(4):
            writer.write(np.full((SIZE_WH[1], SIZE_WH[0], 3), (shade * 7 + frame) % 256, np.uint8))
        writer.release()
    for clip, anomalous in ((1, True), (2, False)):
        frames = np.empty((1, 4), object)
        for at in range(4):
            frames[0, at] = np.full((SIZE_WH[1], SIZE_WH[0]), anomalous and at > 1, np.uint8)
        folder = root / "testing_label_mask"
        folder.mkdir(exist_ok=True)
        savemat(folder / f"{clip}_label.mat", {"volLabel": frames})
    return root


def plain_folder(root: Path) -> Path:
    for at in range(3):
        picture(root / "references" / f"r{at}.png")
        picture(root / "normal" / f"n{at}.png")
        picture(root / "anomalous" / "dent" / f"d{at}.png")
        mask(root / "masks" / "dent" / f"d{at}_mask.png")
    picture(root / "anomalous" / "odd.png")
    mask(root / "masks" / "odd.png")
    return root


def mmad(root: Path) -> Path:
    yes_no = {"A": "Yes.", "B": "No."}
    entries: dict[str, Any] = {}
    for name, kind in (("000", "good"), ("001", "good"), ("002", "crack")):
        key = f"MVTec-AD/bottle/test/{kind}/{name}.png"
        picture(root / key)
        asked = [
            {"Question": "Any defect?", "Answer": "B" if kind == "good" else "A", "Options": yes_no}
            | {"type": "Anomaly Detection"},
            {"Question": "What is it?", "Answer": "C", "Options": {"A": "nut", "B": "pill", "C": "bottle"}}
            | {"type": "Object Structure"},
        ]
        template = f"MVTec-AD/bottle/train/good/{name}.png"
        picture(root / template)
        entries[key] = {
            "image_path": key,
            "conversation": asked,
            "similar_templates": [template],
            "random_templates": [template],
        }
    write_json(root / "mmad.json", entries)
    return root


def write_json(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")


def write_csv(path: Path, rows: Sequence[Sequence[str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows(rows)
