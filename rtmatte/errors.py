"""Every error that rtmatte raises on purpose, in one tree.

    RtmatteError
    ├── SettingsError (ValueError)                a value the user chose is out of range or contradicts another
    ├── InputError                                the input cannot be used            exit code 3
    │   ├── InputNotFoundError (FileNotFoundError)
    │   ├── UnreadableInputError (ValueError)     not a picture or clip, or damaged beyond use
    │   ├── NoVideoStreamError (ValueError)
    │   ├── NoFramesError (ValueError)            a video stream without a single decodable frame
    │   ├── DecoderUnavailableError (RuntimeError) a hardware decoder was asked for and doesn't come up
    │   ├── ImageTooLargeError (ValueError)       more pixels than the safety limit
    │   ├── CameraNotFoundError (FileNotFoundError)
    │   ├── CameraBusyError (OSError)             another program has it
    │   └── CameraPermissionError (PermissionError)
    ├── OutputError                               the result cannot be written        exit code 4
    │   ├── OutputExistsError (FileExistsError)
    │   ├── UnsupportedOutputError (ValueError)   a container or codec that cannot hold what was asked for
    │   ├── OutputWriteError (OSError)            disk full, no permission, broken encoder
    │   └── VirtualCameraError (OSError)          no virtual camera here, or it stopped taking frames
    ├── ModelError                                no usable model or runtime          exit code 5
    │   ├── UnknownModelError (ValueError)
    │   ├── WeightsError (ValueError)             missing, damaged or swapped weights
    │   ├── DownloadError (OSError)               a model that isn't shipped can't be fetched or kept
    │   ├── LicenceError (PermissionError)        its licence was not accepted
    │   ├── RuntimeNotInstalledError (ImportError)
    │   ├── RuntimeConflictError (ImportError)    two onnxruntime packages in one folder
    │   ├── ProviderUnavailableError (RuntimeError)
    │   └── ModelOutputError (RuntimeError)       NaN, wrong shape
    ├── StageStalledError (TimeoutError)          a stage made no progress            exit code 1
    └── JobDiedError (RuntimeError)               a job's process ended without a result

Each also subclasses the builtin that fits, so that `except FileNotFoundError` works. A message has up to three
parts: what happened (with expected and got), and what to do next.
"""

from __future__ import annotations

from typing import ClassVar


class RtmatteError(Exception):
    """Base of the tree.

    `message` says what happened, with what was expected and what was got; `hint` says what to do next.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}" if self.hint else self.message


class SettingsError(RtmatteError, ValueError):
    exit_code = 2


class InputError(RtmatteError):
    exit_code = 3


class InputNotFoundError(InputError, FileNotFoundError):
    pass


class UnreadableInputError(InputError, ValueError):
    pass


class NoVideoStreamError(InputError, ValueError):
    pass


class NoFramesError(InputError, ValueError):
    pass


class DecoderUnavailableError(InputError, RuntimeError):
    pass


class ImageTooLargeError(InputError, ValueError):
    pass


class CameraNotFoundError(InputError, FileNotFoundError):
    pass


class CameraBusyError(InputError, OSError):
    pass


class CameraPermissionError(InputError, PermissionError):
    pass


class OutputError(RtmatteError):
    exit_code = 4


class OutputExistsError(OutputError, FileExistsError):
    pass


class UnsupportedOutputError(OutputError, ValueError):
    pass


class OutputWriteError(OutputError, OSError):
    pass


class VirtualCameraError(OutputError, OSError):
    pass


class ModelError(RtmatteError):
    exit_code = 5


class UnknownModelError(ModelError, ValueError):
    pass


class WeightsError(ModelError, ValueError):
    pass


class DownloadError(ModelError, OSError):
    pass


class LicenceError(ModelError, PermissionError):
    pass


class RuntimeNotInstalledError(ModelError, ImportError):
    pass


class RuntimeConflictError(ModelError, ImportError):
    pass


class ProviderUnavailableError(ModelError, RuntimeError):
    pass


class ModelOutputError(ModelError, RuntimeError):
    pass


class StageStalledError(RtmatteError, TimeoutError):
    pass


class JobDiedError(RtmatteError, RuntimeError):
    pass
