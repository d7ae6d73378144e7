"""The document that describes every route, at /openapi.json, and the page that is made of it, at /docs.

shapes.py     pieces of JSON Schema (pure)
operation.py  one operation, and what all of them have in common: errors, headers, keys (pure)
inference.py  chat completions and responses
models.py     what can be asked for, and who serves it
keys.py       keys, what they have used, credits
apps.py       keys for apps
presets.py    presets
operators.py  health, figures, administration, the document itself
document.py   all of them together (pure)
page.py       the document as a page for people (pure)
routes.py     both, served

Words and limits are taken from the code that holds requests to them, so the document cannot say anything else.
"""
