"""Fine-tuning over OpenAI's protocol: uploaded files, jobs that outlive the server, and the models that they give."""
