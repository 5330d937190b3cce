.PHONY: help controlplane

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

controlplane: ## build the real control plane that tests and the demo run against (needs Go; about ten minutes, once)
	@tests/controlplane/build
