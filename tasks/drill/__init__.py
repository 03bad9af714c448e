"""The drill: what can go wrong is done to a copy of a pipeline, and each guarantee is checked afterwards."""
