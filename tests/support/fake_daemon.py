"""fake_icetund (tests/unit/control) as a context manager: it listens on .path while in the block."""
import os
import subprocess
import tempfile


class FakeDaemon:
    def __init__(self, program, *options):
        self.directory = tempfile.TemporaryDirectory()
        self.path = os.path.join(self.directory.name, "sock")
        self.process = subprocess.Popen([program, self.path, *options], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE)
        assert self.process.stdout.readline() == b"ready\n"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        status = self.process.wait(30)
        assert status == 0, f"fake_icetund ended with {status}"
        self.process.stdout.close()
        self.directory.cleanup()
