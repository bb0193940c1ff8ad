"""A server of vLLM as a child of this process: started on a free port, watched, ended."""
