"""What single operations cost. Every module beside `timing` has `cases()` and is found by its name.

`python -m bench.micro [NAME ...]`
"""
