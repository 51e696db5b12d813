package media

// WithKernel is for the tests that see this package from outside.
var WithKernel = withKernel
