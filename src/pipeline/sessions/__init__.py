"""What a person does between nights: teach a memory, ask with it or without, export, repeat a night over seeds."""
