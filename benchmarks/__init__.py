"""Side-by-side measurements on this machine, in one run: what a probe costs us, and what it costs others.

`python -m benchmarks` compares costs, `python -m benchmarks lateness` shows what dead engines do to the others. Every
figure that README or docs quote comes from here; nothing here is a test, and no test asserts a time.
"""
