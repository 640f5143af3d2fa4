"""The pictures of the emulated camera, made with ffmpeg, and their comparison with the results."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from machine import BOARDS, PROJECT, Failed

PICTURES = PROJECT / "target" / "pictures"
PEOPLE = ("obama.jpg", "biden.jpg", "astronaut.png")
# The FourCC of a camera and its name in ffmpeg. (NV21 is missing, because v4l2loopback does not have it.)
RAW = {"YUYV": "yuyv422", "UYVY": "uyvy422", "YVYU": "yvyu422", "NV12": "nv12", "YU12": "yuv420p", "YV12": "yuv420p", "RGB3": "rgb24",
       "BGR3": "bgr24", "GREY": "gray"}


def ffmpeg(*words: str | Path, given: bytes = b"") -> bytes:
    """The output of ffmpeg."""
    done = subprocess.run(["ffmpeg", "-loglevel", "error", "-y", *map(str, words)], input=given, capture_output=True, check=False)
    if done.returncode:
        raise Failed(f"ffmpeg: {done.stderr.decode(errors='replace').strip()[-300:]}")
    return done.stdout


@dataclass(frozen=True)
class View:
    """The pictures of the camera: people, in a format and a size."""

    fourcc: str
    width: int
    height: int
    names: tuple[str, ...] = PEOPLE

    def __str__(self) -> str:
        return f"{self.fourcc} {self.width}x{self.height}"

    def files(self, folder: Path) -> list[Path]:
        """The files, one per picture, made if missing."""
        return [self.made(folder / f"{Path(name).stem}-{self.width}x{self.height}.{self.fourcc}", name) for name in self.names]

    def fed(self, folder: Path) -> list[bytes]:
        """The content of these files."""
        return [file.read_bytes() for file in self.files(folder)]

    def made(self, file: Path, name: str) -> Path:
        size = f"{self.width}:{self.height}"
        fill = f"scale={size}:force_original_aspect_ratio=increase,crop={size}:0:(ih-oh)/4"
        coding = ["-f", "rawvideo", "-pix_fmt", RAW[self.fourcc]] if self.fourcc in RAW else ["-f", "mjpeg", "-pix_fmt", "yuvj422p", "-q:v", "4"]
        if not file.exists():
            file.write_bytes(self.ordered(ffmpeg("-i", PICTURES / name, "-vf", fill, *coding, "-frames:v", "1", "-")))
        return file

    def ordered(self, picture: bytes) -> bytes:
        """Converts the order of planes between ffmpeg and the format: YV12 has V before U."""
        luma = self.width * self.height
        chroma = picture[luma:]
        half = len(chroma) // 2
        return picture[:luma] + chroma[half:] + chroma[:half] if self.fourcc == "YV12" else picture

    def rgb(self, picture: bytes) -> bytes:
        """The red, green and blue values of every pixel of a picture."""
        raw = ["-f", "rawvideo", "-pix_fmt", RAW[self.fourcc], "-s", f"{self.width}x{self.height}"] if self.fourcc in RAW else ["-f", "mjpeg"]
        return ffmpeg(*raw, "-i", "-", "-f", "rawvideo", "-pix_fmt", "rgb24", "-", given=self.ordered(picture))


def error(shown: bytes, fed: bytes) -> float:
    """The mean difference of two pictures in levels of 255."""
    if len(shown) != len(fed):
        raise Failed(f"the picture has {len(shown) // 3} pixels instead of {len(fed) // 3}")
    return sum(abs(a - b) for a, b in zip(shown, fed)) / len(fed)


def gallery(person: str, name: str) -> Path:
    """The folder of a person, with a picture that an emulated processor can enrol in seconds."""
    folder = BOARDS / "gallery" / person
    folder.mkdir(parents=True, exist_ok=True)
    ffmpeg("-i", PICTURES / name, "-vf", "scale=240:-2", "-q:v", "2", folder / name)
    return folder
