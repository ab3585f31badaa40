"""From a training run to a model that the program loads: file, entry in a list of models, model card."""
