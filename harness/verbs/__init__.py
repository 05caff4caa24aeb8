"""What each verb of the command line does. One file a verb, imported when it is called."""
