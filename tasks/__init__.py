"""One Prefect task per stage: open the inputs, call one function, publish the output."""
