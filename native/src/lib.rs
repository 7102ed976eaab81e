//! Optional native parts of dchat. The Python beside each is the reference, and a test holds both to the same answers.
//!
//! Pure: nothing here reads a clock, a file or the environment, and all that is random is the coefficients of a batch of
//! signatures, which no answer depends on.
#![forbid(unsafe_code)]

mod signatures;

#[pyo3::pymodule]
mod dchat_native {
    use pyo3::prelude::*;
    use pyo3::pybacked::PyBackedBytes;

    /// Of what is here; `crypto/native.py` uses the one that it knows.
    #[pymodule_export]
    const FORM: u32 = 1;

    /// For each (public key, message, signature) whether the Ed25519 signature holds by ZIP-215, in order.
    ///
    /// What has a wrong size does not hold. The interpreter's lock is released meanwhile.
    #[pyfunction]
    fn verify_batch(
        py: Python<'_>,
        checks: Vec<(PyBackedBytes, PyBackedBytes, PyBackedBytes)>,
    ) -> Vec<bool> {
        py.detach(|| {
            let parts: Vec<_> = checks
                .iter()
                .map(|(key, message, signature)| (&key[..], &message[..], &signature[..]))
                .collect();
            super::signatures::verify_all(&parts)
        })
    }
}
