"""The only room that knows lightning, transformers and peft: loading models, and one module per LLM job."""
