"""What a person does with a memory between nights: teach it at once, ask with it or without, see the champion."""
