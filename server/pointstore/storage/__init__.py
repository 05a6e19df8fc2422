"""Bytes on disk: LMDB environments, their keys and records, segment directories.

`lmdb` is imported only here. Nothing in this layer knows FAISS, queries or the wire.
"""
