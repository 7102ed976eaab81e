"""The beginning of a dchat executable: unpack the wheels once, then run the command.

Needs nothing but the standard library of the Pythons that the file was built for. The wheels lie unpacked in
DCHAT_CACHE_DIR, else the user's cache folder, else a private folder for temporary files; by the file's own content, so
that two builds never mix and a swap of binaries is a swap of everything.
"""

import json
import os
import shutil
import sys
import tempfile
import zipfile

DATA_PARTS = ("purelib", "platlib")


def caches():
    """Folders to try, best first."""
    if os.environ.get("DCHAT_CACHE_DIR"):
        yield os.environ["DCHAT_CACHE_DIR"]
    yield os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "dchat")
    yield os.path.join(tempfile.gettempdir(), f"dchat-{os.getuid()}")


def is_ours(path):
    """Whoever else could write there could make us run their code."""
    status = os.stat(path)
    return status.st_uid == os.getuid() and not status.st_mode & 0o022


def unpack(archive, wheels, folder):
    """Into a folder beside it, then in its place: another process sees all of it or nothing."""
    draft = tempfile.mkdtemp(prefix=".unpacking-", dir=os.path.dirname(folder))
    try:
        for name in wheels:
            with archive.open("wheels/" + name) as file, zipfile.ZipFile(file) as wheel:
                for entry in wheel.infolist():
                    parts = entry.filename.split("/")
                    if parts[0].endswith(".data"):
                        if len(parts) < 3 or parts[1] not in DATA_PARTS:
                            continue
                        parts = parts[2:]
                    target = os.path.join(draft, *parts)
                    if entry.is_dir() or ".." in parts:
                        continue
                    os.makedirs(os.path.dirname(target), exist_ok=True)
                    with wheel.open(entry) as source, open(target, "wb") as out:
                        shutil.copyfileobj(source, out)
        try:
            os.rename(draft, folder)
        except OSError:
            if not os.path.isdir(folder):  # else another process was faster
                raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def prepare(path):
    with zipfile.ZipFile(path) as archive:
        manifest = json.loads(archive.read("manifest.json"))
        python = f"{sys.version_info[0]}.{sys.version_info[1]}"
        wheels = manifest["wheels"].get(python)
        if wheels is None:
            known = ", ".join(sorted(manifest["wheels"]))
            sys.exit(f"dchat: this file was built for Python {known}; this is {python} ({sys.executable})")
        problem = None
        for cache in caches():
            folder = os.path.join(cache, f"{manifest['version']}-{manifest['build'][:16]}-py{python}")
            try:
                os.makedirs(cache, mode=0o700, exist_ok=True)
                if not is_ours(cache):
                    continue
                if not os.path.isdir(folder):
                    unpack(archive, wheels, folder)
                return folder
            except OSError as error:
                problem = error
        sys.exit(f"dchat: no folder to unpack into ({problem}); name one with DCHAT_CACHE_DIR")


def run():
    here = os.path.abspath(sys.path[0])
    folder = prepare(here)
    # nothing that is installed beside us may take a module's place
    sys.path[:] = [folder] + [
        entry for entry in sys.path[1:] if "site-packages" not in entry and "dist-packages" not in entry
    ]
    sys.dont_write_bytecode = False  # the folder is ours; without it each start would compile everything anew
    sys.argv[0] = os.path.realpath(here)  # its name, also where it was started by an open file
    from dchat.cli.main import main

    main()


if __name__ == "__main__":
    run()
