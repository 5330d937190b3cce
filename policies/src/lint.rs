//! What an admin will regret: warnings beyond what keeps a template from loading.
