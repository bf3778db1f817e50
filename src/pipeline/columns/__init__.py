"""Spiking columns: tasks learned one after another in columns of their own, consolidated into fewer in sleep."""
