"""The code that the notebooks, the pipeline and the service share."""
