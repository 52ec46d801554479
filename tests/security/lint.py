"""Checks what the compiler cannot: keys, signatures and tokens are compared in constant time, and never printed.

Reads include/ and tools/. A line that compares or prints something named like a secret must go through
equal_constant_time(), or be one of the few below, each with its reason. Prints each offence as file:line.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent

SECRET = (r"(?:\b\w*(?:primary_key|secondary_key|owner_key|access_key|access_signature|private_key_pem|password)\b_?"
          r"|\bsignature\b|\b\w*(?:sas|fixed)_token_?\b|\breveal\(\))")
COMPARED = re.compile(rf"(?:{SECRET}(?:\.\w+\(\))?\s*(?:==|!=|<=>)|(?:==|!=|<=>)\s*[\w.>()-]*{SECRET}"
                      rf"|(?:memcmp|strcmp|strncmp|compare|iequals|find|starts_with|equal)\([^;]*{SECRET})")
PRINTED = re.compile(rf"(?:printf|fputs|fwrite|\bputs|<<|\.write\()[^;]*{SECRET}|error\{{[^;]*\+\s*[\w.>()-]*{SECRET}"
                     rf"|\b(?:log_?|say|refused?|refuse)\([^;]*{SECRET}(?!\w*\")")
WORDS = re.compile(r'"(?:[^"\\]|\\.)*"|//.*')

# Where a comparison is none of a secret with what a stranger sent, or the printing is what was asked for.
ALLOWED = {
    ("tools/iothub-fake/options.hpp", "made.owner_key == well_known_owner_key"): "the owner's own key, with a public one",
    ("tools/iothub-fake/connstr.hpp", "wanted.owner_key"): "the command exists to print a connection string",
}
# Each of these must compare in constant time, or nobody does.
JUDGES = ["hub/access.hpp", "hub/amqp_claims.hpp", "wire/sas_token.hpp"]

# What docs/security.md promises that no line does: touch the system's trust store, or tell a browser that it may.
NEVER = re.compile(r"update-ca-certificates|/usr/local/share/ca-certificates|/etc/ssl|certutil|Access-Control-|[Vv]erify_?[Nn]one")

# The check of the check.
PLANTED = [
    "if (policy.primary_key == key) return true;",
    "return token.signature == made;",
    "if (key.reveal() != other) return;",
    "std::memcmp(key.reveal().data(), text, 3)",
    "std::fprintf(stderr, \"%s\", identity.primary_key.c_str());",
    "return error{errc::unauthorized, \"no \" + owner_key};",
    "out << key.reveal();",
    "log(log_level::warning, at, login.password);",
]
HARMLESS = [
    "if (fixed_token_.empty()) return;",
    "made.shared_access_key = secret{key};",
    "return refused(\"wrong key: the signature is of neither key\");",
    "if (equal_constant_time(policy->primary_key, key)) return policy;",
]


def offends(line):
    code = WORDS.sub('""', line)
    if "equal_constant_time(" in code or re.search(r"\.empty\(\)|[!=]= nullptr", code):
        return None
    return "compared" if COMPARED.search(code) else "printed" if PRINTED.search(code) else None


def main():
    offences = [f"tests/security/lint.py does not see: {line}" for line in PLANTED if not offends(line)]
    offences += [f"tests/security/lint.py is wrong about: {line}" for line in HARMLESS if offends(line)]
    used = set()
    for folder in ("include", "tools"):
        for path in sorted((ROOT / folder).rglob("*.[hc]pp")):
            name = path.relative_to(ROOT).as_posix()
            for number, line in enumerate(path.read_text().splitlines(), 1):
                if NEVER.search(line):
                    offences.append(f"{name}:{number}: not here: {line.strip()}")
                what = offends(line)
                if not what:
                    continue
                reason = [key for key in ALLOWED if key[0] == name and key[1] in line]
                used.update(reason)
                if not reason:
                    offences.append(f"{name}:{number}: a secret is {what}: {line.strip()}")
    for judge in JUDGES:
        if "equal_constant_time(" not in (ROOT / "include" / "iothub" / judge).read_text():
            offences.append(f"include/iothub/{judge}: judges tokens without equal_constant_time()")
    offences += [f"tests/security/lint.py: {key} allows nothing any more" for key in ALLOWED.keys() - used]
    print("\n".join(offences) or "keys and signatures are compared in constant time, and none is printed")
    return 1 if offences else 0


if __name__ == "__main__":
    sys.exit(main())
