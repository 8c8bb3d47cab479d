"""Model endpoints that speak OpenAI-compatible HTTP: OpenAI, vLLM, llama.cpp, Ollama, gateways."""
