"""Builds and runs the same small program as each kind of consumer: find_package after an install, add_subdirectory, Meson
subproject, and plain compiler calls with the two generated headers (two files, linked: nothing is defined twice).

  run.py KIND     one of cmake_find, cmake_subdirectory, meson_subproject, plain
"""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
CXX = os.environ.get("CXX", "g++")


def run(*command, **keywords):
    done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **keywords)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{done.stdout[-4000:]}")
    return done.stdout


def cmake(source, build, *options):
    run("cmake", "-G", "Ninja", "-S", source, "-B", build, "-DCMAKE_BUILD_TYPE=Debug", f"-DCMAKE_CXX_COMPILER={CXX}", *options)
    run("cmake", "--build", build)


def cmake_find(work):
    run("cmake", "-G", "Ninja", "-S", ROOT, "-B", work / "iothub", f"-DCMAKE_INSTALL_PREFIX={work}/prefix",
        "-DIOTHUB_BUILD_TESTS=OFF", "-DIOTHUB_BUILD_PROGRAMS=OFF")
    run("cmake", "--install", work / "iothub")
    cmake(HERE / "cmake_find", work / "build", f"-DCMAKE_PREFIX_PATH={work}/prefix")
    return work / "build/consumer"


def cmake_subdirectory(work):
    cmake(HERE / "cmake_subdirectory", work / "build", f"-DIOTHUB_SOURCE={ROOT}")
    return work / "build/consumer"


def meson_subproject(work):
    project = work / "project"
    shutil.copytree(HERE / "meson_subproject", project)
    for name in ("main.cpp", "other.cpp"):
        shutil.copy(HERE / name, project)
    subproject = project / "subprojects/iothub"
    subproject.mkdir(parents=True)
    for name in ("meson.build", "meson_options.txt", "targets.list"):
        shutil.copy(ROOT / name, subproject)
    for name in ("include", "tools"):
        shutil.copytree(ROOT / name, subproject / name)
    run("meson", "setup", work / "build", project, env=dict(os.environ, CXX=CXX))
    run("meson", "compile", "-C", work / "build")
    return work / "build/consumer"


def plain(work):
    if not (ROOT / "single_include/iothub/fake_hub.hpp").exists():
        sys.exit("single_include/ is not there: run tools/amalgamate.py")
    headers = work / "vendored"  # as a user would copy them: nothing else of the repository is in reach
    shutil.copytree(ROOT / "single_include", headers)
    objects = []
    for name in ("main", "other"):
        run(CXX, "-std=c++20", "-Wall", "-Wextra", "-c", HERE / f"{name}.cpp", "-I", headers, "-o", work / f"{name}.o")
        objects.append(work / f"{name}.o")
    run(CXX, *objects, "-o", work / "consumer", "-lssl", "-lcrypto", "-lcurl", "-lpthread")
    return work / "consumer"


def main():
    kind = {"cmake_find": cmake_find, "cmake_subdirectory": cmake_subdirectory, "meson_subproject": meson_subproject,
            "plain": plain}[sys.argv[1]]
    with tempfile.TemporaryDirectory(prefix="iothub-consumer-") as folder:
        print(run(kind(pathlib.Path(folder))).strip())


if __name__ == "__main__":
    main()
