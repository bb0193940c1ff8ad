"""The live page: server-rendered, on this machine only. It calls `app` and shows; it decides nothing."""
