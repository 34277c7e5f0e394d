"""The foundation: errors, files, configuration, registry, records, runtime."""
