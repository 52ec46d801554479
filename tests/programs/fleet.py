"""fleet_simulation: a small fleet through an outage; what is in the files adds up, comes out the same for the same seed,
and what the command line says to bad input."""
import csv
import os
import pathlib
import re
import sys
import tempfile
import xml.etree.ElementTree

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
from served_hub import BIN, main, run  # noqa: E402

SMALL = ["--devices", "500", "--connects-per-second", "25", "--outage", "60", "--period", "30", "--drop-over", "2"]
SUMMARY = ("policy devices seed outage_s connects_per_second attempts_during_outage attempts_after_return accepted refused "
           "peak_attempts_per_s peak_accepted_per_s half_connected_s nearly_connected_s all_connected_s caught_up_s messages "
           "delayed delay_p50_s delay_p99_s delay_max_s lost stored_twice").split()
SERIES = "policy second connected attempts accepted refused waiting".split()
POLICIES = "iothub c csharp java node python hand".split()


def fleet(*arguments, status=0):
    return run([BIN / "fleet_simulation", *arguments], dict(os.environ), status=status)


class Run:
    """One comparison with all that it wrote."""

    def __init__(self, *arguments):
        with tempfile.TemporaryDirectory(prefix="iothub-test-") as folder:
            names = {each: f"{folder}/{each}" for each in ("summary", "series", "svg")}
            said = fleet(*arguments, "--quiet", *[word for each, name in names.items() for word in ("--" + each, name)])
            assert said.stderr == "", said.stderr
            self.table = said.stdout
            self.files = {each: pathlib.Path(name).read_text(encoding="utf-8") for each, name in names.items()}
        self.summary = list(csv.DictReader(self.files["summary"].splitlines()))
        self.series = list(csv.DictReader(self.files["series"].splitlines()))

    def seconds_of(self, policy):
        return [{name: int(value) for name, value in row.items() if name != "policy"}
                for row in self.series if row["policy"] == policy]


COMPARED = Run(*SMALL, "--seed", "7")


def the_files_have_their_columns_and_a_row_for_each_policy():
    assert list(COMPARED.summary[0]) == SUMMARY, list(COMPARED.summary[0])
    assert list(COMPARED.series[0]) == SERIES, list(COMPARED.series[0])
    assert [row["policy"] for row in COMPARED.summary] == POLICIES, COMPARED.table
    for row in COMPARED.summary:
        assert (row["devices"], row["seed"], row["outage_s"], row["connects_per_second"]) == ("500", "7", "60", "25"), row


def every_device_comes_back_and_no_message_is_lost():
    for row in COMPARED.summary:
        assert (row["lost"], row["stored_twice"], row["accepted"]) == ("0", "0", "500"), row
        times = [float(row[each]) for each in ("half_connected_s", "nearly_connected_s", "all_connected_s", "caught_up_s")]
        assert times == sorted(times), row
        # The bucket is full when the hub is back: nobody can be faster than what is above it takes.
        assert times[2] >= (500 - 25) / 25, row
        delays = [float(row[each]) for each in ("delay_p50_s", "delay_p99_s", "delay_max_s")]
        assert 1 <= delays[0] <= delays[1] <= delays[2], row
        assert 0 < int(row["delayed"]) <= int(row["messages"]), row
        assert int(row["peak_accepted_per_s"]) <= 2 * 25, row


def the_seconds_add_up_to_the_summary():
    for row in COMPARED.summary:
        seconds = COMPARED.seconds_of(row["policy"])
        assert [each["second"] for each in seconds] == list(range(-120, -120 + len(seconds))), row["policy"]
        total = {name: sum(each[name] for each in seconds) for name in SERIES[3:6]}
        assert total["attempts"] == int(row["attempts_during_outage"]) + int(row["attempts_after_return"]), row
        assert total["refused"] == int(row["refused"]) and total["accepted"] == int(row["accepted"]), row
        # Each attempt at a hub that is there was either taken or refused.
        assert int(row["attempts_after_return"]) == int(row["accepted"]) + int(row["refused"]), row
        assert max(each["attempts"] for each in seconds if each["second"] >= 0) == int(row["peak_attempts_per_s"]), row
        before, away, last = seconds[0], seconds[100], seconds[-1]
        assert (before["connected"], away["connected"], last["connected"]) == (500, 0, 500), row["policy"]
        assert away["waiting"] > 0 and last["waiting"] == 0, row["policy"]


def a_loop_by_hand_knocks_hardest_and_ours_most_gently():
    peaks = {row["policy"]: int(row["peak_attempts_per_s"]) for row in COMPARED.summary}
    assert peaks["hand"] == max(peaks.values()) and peaks["iothub"] == min(peaks.values()), peaks


def the_same_seed_gives_the_same_files_and_another_seed_others():
    wanted = [*SMALL, "--policies", "iothub,c", "--every", "7"]
    first, again, other = Run(*wanted, "--seed", "3"), Run(*wanted, "--seed", "3"), Run(*wanted, "--seed", "4")
    assert first.files == again.files and first.table == again.table
    assert first.files["series"] != other.files["series"]
    # Rows of seven seconds hold what seven rows of one hold, and begin at multiples of seven from the hub's return.
    fine = Run(*wanted[:-2], "--seed", "3")
    for policy in ("iothub", "c"):
        seven = first.seconds_of(policy)
        assert all(each["second"] % 7 == 0 for each in seven[1:]), seven[:3]
        for name in SERIES[3:6]:
            assert sum(each[name] for each in seven) == sum(each[name] for each in fine.seconds_of(policy)), (policy, name)


def bytes_on_the_wire_tell_the_same_story():
    wanted = ["--devices", "100", "--connects-per-second", "5", "--outage", "60", "--period", "30", "--policies", "iothub"]
    values, in_bytes = Run(*wanted), Run(*wanted, "--wire", "bytes")
    for row in values.summary + in_bytes.summary:
        assert (row["accepted"], row["lost"], row["stored_twice"]) == ("100", "0", "0"), row
    assert values.summary[0]["messages"] != "" and in_bytes.summary[0]["delayed"] != "0"


def the_plot_is_well_formed_and_shows_each_policy():
    root = xml.etree.ElementTree.fromstring(COMPARED.files["svg"])
    assert root.tag == "{http://www.w3.org/2000/svg}svg", root.tag
    words = " ".join(each.text or "" for each in root.iter("{http://www.w3.org/2000/svg}text"))
    for title in ("this library", "Azure SDK for C ", "Node", "Java", ".NET", "Python", "a loop by hand", "500 devices"):
        assert title in words, (title, words)
    width, height = (float(each) for each in root.get("viewBox").split()[2:])
    numbers = re.compile(r"-?\d+\.?\d*")
    for path in root.iter("{http://www.w3.org/2000/svg}path"):
        values = [float(each) for each in numbers.findall(path.get("d"))]
        assert all(0 <= x <= width for x in values[0::2]) and all(0 <= y <= height for y in values[1::2]), path.get("d")[:80]


def a_policy_that_does_not_come_back_in_time_is_said_so():
    late = Run("--devices", "200", "--connects-per-second", "1", "--outage", "30", "--drop-over", "0", "--limit", "20",
               "--policies", "python")
    assert late.summary[0]["all_connected_s"] == "" and "never" in late.table, late.table
    assert int(late.summary[0]["accepted"]) < 200 and late.summary[0]["lost"] == "0", late.summary


def wrong_usage_gets_one_sentence_and_status_2():
    for wrong in (["--nonsense"], ["devices"], ["--devices"], ["--devices", "0"], ["--devices", "-5"], ["--devices", "many"],
                  ["--policies", "rust"], ["--policies", "c,c"], ["--policies", ""], ["--wire", "smoke"], ["--svg", ""],
                  ["--outage", "5", "--drop-over", "5"], ["--wire", "bytes", "--devices", "10001"], ["--seed", "1.5"],
                  ["--summary", "same.csv", "--series", "./same.csv"], ["--svg", "same", "--summary", "same"],
                  ["--series", "same", "--svg", "same"]):
        said = fleet(*wrong, status=2)
        assert not said.stdout and len(said.stderr.strip().splitlines()) == 1, (wrong, said)
        assert said.stderr.startswith("fleet_simulation: "), said.stderr
    missing = fleet("--devices", "10", "--svg", "/nonexistent/plot.svg", status=3)
    assert "cannot write /nonexistent/plot.svg" in missing.stderr and not missing.stdout, missing
    shown = fleet("--help").stdout
    for option in ("--devices", "--policies", "--connects-per-second", "--summary", "--series", "--svg", "--seed", "--wire"):
        assert option in shown, option
    assert fleet("--version").stdout.startswith("fleet_simulation "), "version"


main(the_files_have_their_columns_and_a_row_for_each_policy, every_device_comes_back_and_no_message_is_lost,
     the_seconds_add_up_to_the_summary, a_loop_by_hand_knocks_hardest_and_ours_most_gently,
     the_same_seed_gives_the_same_files_and_another_seed_others, bytes_on_the_wire_tell_the_same_story,
     the_plot_is_well_formed_and_shows_each_policy, a_policy_that_does_not_come_back_in_time_is_said_so,
     wrong_usage_gets_one_sentence_and_status_2)
