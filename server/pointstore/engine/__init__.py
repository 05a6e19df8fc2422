"""The engine: names to collections, updates to operations to state, queries to hits.

It wires storage and index together and knows neither gRPC nor messages of the protocol.
"""
