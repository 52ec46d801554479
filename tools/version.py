"""Prints the version that include/iothub/version.hpp states, as 1.2.3."""
import pathlib
import re

text = (pathlib.Path(__file__).parent.parent / "include/iothub/version.hpp").read_text()
number = int(re.search(r"#define IOTHUB_VERSION (\d+)", text).group(1))
print(f"{number // 10000}.{number // 100 % 100}.{number % 100}")
