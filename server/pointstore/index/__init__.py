"""Derived structures over slots: dense graphs, the exact reference, sets of slots. faiss is imported in `dense` only.

Nothing here does I/O but opening and writing index files at paths it is given, and nothing knows the store.
"""
