"""What `pipeline.yaml` may say, section by section; `domain/pipeline.py` puts the sections together."""
