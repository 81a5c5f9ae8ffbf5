"""The tests of the project, a folder for each subject."""
