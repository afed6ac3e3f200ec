"""The engine: where things lie in memory, the step, and the threads that run it."""
