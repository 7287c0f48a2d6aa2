module raywarden.test/reports

go 1.25.0

require (
	github.com/openreports/reports-api v0.2.1
	sigs.k8s.io/wg-policy-prototypes v0.0.0-20241007222821-25056e1f3eb5
)
