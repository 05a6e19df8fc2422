"""A vector storage service that speaks Qdrant's gRPC API over LMDB and FAISS."""

__version__ = "0.1.0"
