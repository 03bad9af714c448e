"""The stages as plain functions of a run: the same in this process, in a container, and on another machine."""
