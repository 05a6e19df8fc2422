"""The gRPC layer: decode a request, make one call into the engine, encode the reply.

Together with `pointstore.app` the only code that imports grpc.
"""
