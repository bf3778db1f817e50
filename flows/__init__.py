"""One Prefect flow per system; a flow only wires tasks."""
