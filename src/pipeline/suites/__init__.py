"""What is taught, what is asked, and every control: suites of facts and questions, without any model."""
