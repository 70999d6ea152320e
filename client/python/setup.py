"""The build step that pyproject.toml cannot say: stubs out of proto/, made anew by every build and never checked in."""

import pathlib
import shutil

from setuptools import setup
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

HERE = pathlib.Path(__file__).resolve().parent


def proto_folder() -> pathlib.Path:
    """proto/ of the repository, or the copy that a source distribution carries."""
    for folder in (HERE / "proto", HERE.parent.parent / "proto"):
        if (folder / "strata" / "v1").is_dir():
            return folder
    raise SystemExit(f"strata: proto/strata/v1 stands neither in {HERE} nor two folders above. Build from a clone of Strata.")


class GenerateStubs(build_py):
    """build_py that also writes strata/v1/*_pb2.py, *_pb2.pyi and *_pb2_grpc.py into the build's folder."""

    def run(self) -> None:
        super().run()
        import grpc_tools  # a requirement of the build alone
        from grpc_tools import protoc

        root = proto_folder()
        target = pathlib.Path(self.build_lib).resolve()
        (target / "strata" / "v1").mkdir(parents=True, exist_ok=True)
        (target / "strata" / "v1" / "__init__.py").write_text('"""Generated from proto/strata/v1."""\n')
        includes = [f"-I{root}", f"-I{pathlib.Path(grpc_tools.__file__).parent / '_proto'}"]
        outputs = [f"--{kind}_out={target}" for kind in ("python", "pyi", "grpc_python")]
        protos = sorted(str(path.relative_to(root)) for path in (root / "strata" / "v1").glob("*.proto"))
        if protoc.main(["protoc", *includes, *outputs, *protos]) != 0:
            raise SystemExit("strata: protoc refused proto/strata/v1; its words stand above.")


class WithProto(sdist):
    """sdist that carries proto/ along, so that it builds by itself."""

    def make_release_tree(self, base_dir: str, files: list) -> None:
        super().make_release_tree(base_dir, files)
        shutil.copytree(proto_folder() / "strata", pathlib.Path(base_dir) / "proto" / "strata", dirs_exist_ok=True)


setup(cmdclass={"build_py": GenerateStubs, "sdist": WithProto})
