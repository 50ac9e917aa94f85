"""Runs a program and says how much memory it needed at most.

    peak.py MIB_MAX PROGRAM [ARGUMENTS …]

Exit code and output are the program's own; above MIB_MAX it ends with 1 and a sentence.
"""

import resource
import subprocess
import sys


def main():
    most, *command = sys.argv[1:]
    code = subprocess.run(command).returncode
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"peak memory {peak:.0f} MiB", file=sys.stderr)
    if peak > float(most):
        print(f"that is above {most} MiB", file=sys.stderr)
        sys.exit(1)
    sys.exit(code if code >= 0 else 128 - code)


if __name__ == "__main__":
    main()
