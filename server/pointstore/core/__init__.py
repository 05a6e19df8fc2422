"""Plain types and pure functions of the domain: points, vectors, schemas, updates, filters, queries, errors.

Nothing here does I/O, holds state between calls or imports another layer of the package.
"""
