"""Small data folders in the layouts that training reads: plates with a dark spot or a bright line."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vlm_inspect.training.data import TrainingData, read_data

SIZE_HW = (24, 32)


def plate(seed: int, kind: str | None = None) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return a grey plate with grain and the mask (0 or 255) of its defect: "spot", "line" or none."""
    rng = np.random.default_rng(seed)
    height, width = SIZE_HW
    picture = np.clip(150 + 8 * rng.standard_normal((height, width, 3)), 0, 255)
    mask = np.zeros(SIZE_HW, np.uint8)
    row, column = rng.integers(4, height - 10), rng.integers(4, width - 10)
    if kind == "spot":
        mask[row : row + 6, column : column + 6] = 255
        picture[mask > 0] = 20
    elif kind == "line":
        mask[row : row + 2, 2 : width - 2] = 255
        picture[mask > 0] = 240
    return picture.astype(np.uint8), mask


def save(path: Path, pixels: NDArray[np.uint8]) -> Path:
    """Write a picture, and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def mvtec_folder(folder: Path, *, normal: int = 4, each: int = 3, mask_name: str = "{}_mask.png") -> Path:
    """Write one class: `normal` pictures in train/good and test/good, `each` in test/spot and test/line."""
    for i in range(normal):
        save(folder / "train" / "good" / f"{i:03}.png", plate(100 + i)[0])
        save(folder / "test" / "good" / f"{i:03}.png", plate(200 + i)[0])
    for k, kind in enumerate(("spot", "line")):
        for i in range(each):
            picture, mask = plate(300 + 10 * k + i, kind)
            save(folder / "test" / kind / f"{i:03}.png", picture)
            save(folder / "ground_truth" / kind / mask_name.format(f"{i:03}"), mask)
    return folder


def visa_folder(root: Path, name: str = "pcb1", *, split: bool = False) -> Path:
    """Write one class in VisA's own layout: 4 normal pictures, a spot, a line, and one with both."""
    rows = []
    for i in range(4):
        save(root / name / "Data" / "Images" / "Normal" / f"{i:04}.JPG", plate(400 + i)[0])
        rows.append((f"{name}/Data/Images/Normal/{i:04}.JPG", "normal", ""))
    for i, label in enumerate(("spot", "line", "spot,line")):
        picture, mask = plate(500 + i, label.split(",")[0])
        save(root / name / "Data" / "Images" / "Anomaly" / f"{i:03}.JPG", picture)
        save(root / name / "Data" / "Masks" / "Anomaly" / f"{i:03}.png", (mask > 0).astype(np.uint8) * (1 + i))
        quoted = f'"{label}"' if "," in label else label
        rows.append((f"{name}/Data/Images/Anomaly/{i:03}.JPG", quoted, f"{name}/Data/Masks/Anomaly/{i:03}.png"))
    table = "\n".join(["image,label,mask", *(",".join(row) for row in rows)])
    (root / name / "image_anno.csv").write_text(table + "\n")
    if split:
        parts = ["train", "train", "train", "test", "test", "test", "test"]
        labels = ["normal" if row[1] == "normal" else "anomaly" for row in rows]
        told = zip(parts, labels, rows, strict=True)
        lines = [f"{name},{part},{label},{row[0]},{row[2]}" for part, label, row in told]
        (root / "split_csv").mkdir(exist_ok=True)
        (root / "split_csv" / "1cls.csv").write_text("\n".join(["object,split,label,image,mask", *lines]) + "\n")
    return root / name


def plain_folder(folder: Path) -> Path:
    """Write normal, anomalous/line, anomalous and masks."""
    for i in range(3):
        save(folder / "normal" / f"n{i}.png", plate(600 + i)[0])
    for i, kind in enumerate(("", "line")):
        picture, mask = plate(700 + i, kind or "spot")
        save(folder / "anomalous" / kind / f"a{i}.png", picture)
        save(folder / "masks" / kind / f"a{i}.png", mask)
    return folder


def deeppcb_folder(folder: Path) -> Path:
    """Write one pair of boards: a gap of type 1 and a speck of type 5 in their boxes."""
    board = np.zeros((*SIZE_HW, 3), np.uint8)
    board[10:14] = 255
    save(folder / "00_temp.jpg", board)
    broken = board.copy()
    broken[10:14, 4:8] = 0
    broken[2:5, 20:24] = 255
    Image.fromarray(broken).save(folder / "00_test.jpg", quality=98)
    (folder / "00.txt").write_text("2 8 10 16 1\n18 0 26 7 5\n")
    return folder


def small_data(tmp_path: Path) -> TrainingData:
    """Return ten plates of one class, read."""
    return read_data([mvtec_folder(tmp_path / "plate")], "masks")
