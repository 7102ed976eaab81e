//! Optional native parts of dchat. The Python beside each is the reference, and a test holds both to the same answers.
//!
//! Pure: nothing here reads a clock, a file or the environment, and all that is random is the coefficients of a batch of
//! signatures, which no answer depends on.
#![forbid(unsafe_code)]

mod signatures;
mod tree;

#[pyo3::pymodule]
mod dchat_native {
    use pyo3::exceptions::PyValueError;
    use pyo3::prelude::*;
    use pyo3::pybacked::PyBackedBytes;
    use pyo3::types::PyBytes;

    use super::tree::{Corrupt, Run, Update, check_page as checked, pack_runs};

    const RUN_BYTES: usize = 8_192; // UNDO_RUN_BYTES of chain/state/layout.py

    /// Of what is here; `crypto/native.py` uses the one that it knows.
    #[pymodule_export]
    const FORM: u32 = 2;

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

    /// (root, whether the record is the one that is written for this page) of a page's content. Raises ValueError.
    #[pyfunction]
    fn check_page<'py>(py: Python<'py>, content: &[u8]) -> PyResult<(Bound<'py, PyBytes>, bool)> {
        let (root, is_exact) = checked(content).map_err(told)?;
        Ok((PyBytes::new(py, &root), is_exact))
    }

    /// The undo runs of one kind of record: `UndoRuns.add`.
    #[pyfunction]
    fn undo_runs<'py>(
        py: Python<'py>,
        prefix: &[u8],
        replaced: Vec<(PyBackedBytes, Option<PyBackedBytes>)>,
    ) -> PyResult<Vec<Pair<'py>>> {
        let pairs = replaced
            .iter()
            .map(|(key, record)| (&key[..], record.as_deref().unwrap_or_default()));
        let runs = pack_runs(prefix, pairs, RUN_BYTES).map_err(told)?;
        Ok(shown(py, runs))
    }

    type Pair<'py> = (Bound<'py, PyBytes>, Bound<'py, PyBytes>);
    type Records<'py> = Vec<(Bound<'py, PyBytes>, Option<Bound<'py, PyBytes>>)>;

    fn shown<'py>(py: Python<'py>, pairs: Vec<Run>) -> Vec<Pair<'py>> {
        let bytes = |one: &[u8]| PyBytes::new(py, one);
        pairs
            .iter()
            .map(|(key, value)| (bytes(key), bytes(value)))
            .collect()
    }

    fn told(error: Corrupt) -> PyErr {
        PyValueError::new_err(error.0)
    }

    /// One update of a store's tree, in steps: `wanted` and `give` until nothing is wanted, `hash` until True, `root`, `take`.
    #[pyclass]
    struct TreeUpdate(Update<PyBackedBytes>);

    #[pymethods]
    impl TreeUpdate {
        /// prefix: 2 bytes, of the keys of the store's pages; version: 8 bytes, of new records; is_whole: what is
        /// replaced is kept whole.
        #[new]
        fn new(prefix: [u8; 2], version: [u8; 8], is_whole: bool) -> Self {
            Self(Update::new(prefix, version, is_whole))
        }

        /// Keys that change, each once, with their values, None to delete; before anything is wanted. Raises ValueError.
        fn add(&mut self, changes: Vec<(PyBackedBytes, Option<PyBackedBytes>)>) -> PyResult<()> {
            changes
                .iter()
                .try_for_each(|(key, value)| self.0.add(key, value.as_deref()))
                .map_err(told)
        }

        /// The keys of the pages to read next, as many at most; none: all are there. Raises ValueError.
        fn wanted<'py>(
            &mut self,
            py: Python<'py>,
            most: usize,
        ) -> PyResult<Vec<Bound<'py, PyBytes>>> {
            let keys = self.0.wanted(most).map_err(told)?;
            Ok(keys.iter().map(|key| PyBytes::new(py, key)).collect())
        }

        /// Their records, None where there is none. Raises ValueError.
        fn give(&mut self, records: Vec<Option<PyBackedBytes>>) -> PyResult<()> {
            self.0.give(records).map_err(told)
        }

        /// Hash as many pages; whether all are done.
        fn hash(&mut self, most: usize) -> bool {
            self.0.hash(most)
        }

        /// The new root, once all is hashed.
        fn root<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
            PyBytes::new(py, &self.0.root())
        }

        /// (records, undo runs): as many that changed, ascending by key, and the runs of what they were; none: no more.
        fn take<'py>(
            &mut self,
            py: Python<'py>,
            most: usize,
            undo_prefix: &[u8],
        ) -> PyResult<(Records<'py>, Vec<Pair<'py>>)> {
            let changed = self.0.take(most);
            let replaced = changed.iter().map(|one| (&one.key[..], &one.replaced[..]));
            let runs = pack_runs(undo_prefix, replaced, RUN_BYTES).map_err(told)?;
            let bytes = |one: &[u8]| PyBytes::new(py, one);
            let records = changed
                .iter()
                .map(|one| (bytes(&one.key), one.record.as_deref().map(bytes)))
                .collect();
            Ok((records, shown(py, runs)))
        }
    }
}
