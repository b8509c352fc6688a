"""Layout of the demo circuit board: where every part and trace lies, in pixels of the photograph (768 x 512)."""

from dataclasses import dataclass

Point = tuple[float, float]

SIZE_HW = (512, 768)
EDGE = (24, 20, 744, 492)
HOLES: tuple[Point, ...] = ((46, 44), (722, 44), (46, 468), (722, 468))


@dataclass(frozen=True)
class Component:
    """One component: its kind, its name on the silk screen, and its box in pixels of the photograph."""

    kind: str
    name: str
    box_xyxy: tuple[int, int, int, int]


PARTS = (
    Component("chip", "U1", (286, 176, 426, 316)),
    Component("chip", "U2", (560, 300, 650, 360)),
    Component("chip", "U3", (100, 300, 180, 350)),
    Component("can", "C1", (96, 96, 156, 156)),
    Component("can", "C2", (176, 96, 236, 156)),
    Component("can", "C3", (620, 92, 690, 162)),
    Component("crystal", "Y1", (306, 372, 398, 404)),
    Component("socket", "J1", (210, 424, 480, 466)),
    Component("led", "D1", (560, 420, 584, 440)),
    Component("led", "D2", (610, 420, 634, 440)),
    *(Component("resistor", f"R{i + 1}", (470, 96 + 34 * i, 512, 114 + 34 * i)) for i in range(6)),
    *(Component("capacitor", f"C{10 + i}", (200 + 40 * (i % 2), y, 230 + 40 * (i % 2), y + 18))
      for i, y in enumerate((190, 190, 226, 226, 262, 262))),
    *(Component("resistor", f"R{10 + i}", (548 + 62 * (i % 2), y, 590 + 62 * (i % 2), y + 18))
      for i, y in enumerate((200, 200, 234, 234))),
)  # fmt: skip

TRACES: tuple[tuple[Point, ...], ...] = (
    *(((512, 105 + 34 * i), (536, 105 + 34 * i), (548, 117 + 34 * i), (548, 150 + 30 * i)) for i in range(4)),
    *(((470, 105 + 34 * i), (448, 105 + 34 * i), (432, 192 + 16 * i), (420, 192 + 16 * i)) for i in range(6)),
    *(((292, 190 + 16 * i), (276, 190 + 16 * i), (268, 198 + 16 * i)) for i in range(7)),
    *(((300 + 16 * i, 312), (300 + 16 * i, 340), (240 + 30 * i, 380), (240 + 30 * i, 426)) for i in range(8)),
    *(((300 + 16 * i, 180), (300 + 16 * i, 76 + 9 * i), (120 + 12 * i, 76 + 9 * i)) for i in range(3)),
    *(((352 + 16 * i, 180), (352 + 16 * i, 84 + 10 * i), (640, 84 + 10 * i)) for i in range(2)),
    *(((180, 310 + 12 * i), (214, 310 + 12 * i), (232, 340 + 10 * i), (306, 340 + 10 * i)) for i in range(3)),
    *(((650, 312 + 14 * i), (690, 312 + 14 * i), (706, 328 + 14 * i), (706, 440 - 20 * i), (634, 440 - 8 * i))
      for i in range(3)),
    *(((560, 312 + 14 * i), (520, 312 + 14 * i), (500, 340 + 12 * i), (500, 420 + 10 * i), (480, 430 + 8 * i))
      for i in range(3)),
    ((100, 316), (70, 316), (60, 300), (60, 130), (96, 126)),
    ((100, 332), (66, 332), (52, 346), (52, 440), (210, 440)),
)  # fmt: skip
